"""What a job reports: progress, counts, a summary and its pictures."""
