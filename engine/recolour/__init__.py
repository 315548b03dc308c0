"""The verb recolour: one product in other colours."""
