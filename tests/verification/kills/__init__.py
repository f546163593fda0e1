"""Kill the refreshing process at random, again and again, and count what that costs."""
