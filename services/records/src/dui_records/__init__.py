"""DUI records: the person accompanied, admissions, stays, allergies, history and handover notes."""
