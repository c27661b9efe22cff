"""DUI identity: associations, facilities, professionals, accounts, policy, broken glass and the access journal."""
