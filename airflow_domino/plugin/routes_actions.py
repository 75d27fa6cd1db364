# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""What people do from the pages: run a task again, stop its run."""

from fastapi import APIRouter

router = APIRouter()
