"""The commands of ``mlops-kit``, by what a person wants: serve, deploy, run, look."""
