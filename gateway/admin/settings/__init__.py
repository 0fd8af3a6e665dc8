"""The pages of the settings: forms, backup and import, what it is made of."""
