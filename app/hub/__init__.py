"""The supervisor of `make run`: one program that starts Tocsin's processes, keeps them alive and leaves none behind."""
