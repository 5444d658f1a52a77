"""The pages people open. They call verbs and never write SQL."""
