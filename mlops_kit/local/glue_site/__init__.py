"""On the path of every Python shell job; holds only what AWS's image adds to it."""
