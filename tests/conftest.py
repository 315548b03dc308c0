from engine.device import configure

configure()
