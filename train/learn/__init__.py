"""How a network learns: objectives, losses, optimisers, schedules."""
