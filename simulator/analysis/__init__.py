"""From rows to means with intervals and paired differences."""
