"""A study on a Slurm cluster: its trainings and evaluations as job arrays, through submitit."""
