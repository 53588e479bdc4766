"""What runs inside the train image: data, networks, training, conversion, embedding, references.

Nothing here imports the orchestration library, and that library imports nothing of this.
"""
