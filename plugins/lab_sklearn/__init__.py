"""The classical methods of scikit-learn, on the data, the runner and the run folder that networks have."""
