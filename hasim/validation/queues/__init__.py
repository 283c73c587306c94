"""Tasks delivered at least once, held against real queues: beanstalkd 1.12 and NATS JetStream."""
