"""Raw files in, an AutoDL bundle out."""
