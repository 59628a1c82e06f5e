"""EventBridge Scheduler of the embedded AWS: schedules that fire, with retries and dead letters."""
