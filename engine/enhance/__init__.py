"""The verb enhance: a photo made better by a chain of steps, one file each in steps/."""
