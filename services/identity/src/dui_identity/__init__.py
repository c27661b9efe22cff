"""DUI identity: associations, facilities, professionals, accounts, policy, break-glass access and the access journal."""
