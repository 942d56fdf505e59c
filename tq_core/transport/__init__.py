"""How Redis is asked: steps as values, clients and what their errors mean, and the two ways to run a flow."""
