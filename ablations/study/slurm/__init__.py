"""Run a study on a Slurm cluster, as job arrays submitted through submitit."""
