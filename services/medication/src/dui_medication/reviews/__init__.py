"""What pharmacists say of the lines of treatment."""
