"""The endpoints: each module answers one part of the API."""
