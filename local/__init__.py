"""The world around the broker, on one machine: NinjaOne, AWS, the gateway and a product, all on loopback."""
