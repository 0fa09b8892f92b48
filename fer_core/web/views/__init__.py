"""The pages and the calls of the API, a file for each subject; what they show comes from the modules above."""
