"""Official SDKs and the frameworks above them."""
