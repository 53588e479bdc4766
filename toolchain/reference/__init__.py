"""What is made from the code for people and programs: schemas, and pages of the documentation."""
