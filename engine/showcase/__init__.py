"""The example pictures of the page: products that exist nowhere, rendered here."""
