"""The pictures and drawings of docs/pictures/."""
