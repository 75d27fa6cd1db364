"""Projects: made, forked, tagged, shared, archived; by several people."""

import os

import requests
from domino import exceptions
from domino.domino_enums import ProjectVisibility


def drive(connect):
    domino = connect("domino/projects")
    ada = connect("domino/projects", auth_token=os.environ["TOKEN_OF_ADA"])
    made = domino.project_create_v4(
        "made",
        owner_username="domino",
        description="made by the client",
        collaborators=[{"collaboratorId": domino.get_user_id("ada"), "projectRole": "ResultsConsumer"}],
        tags=["first"],
        billing_tag="research",
        visibility=ProjectVisibility.PRIVATE,
    )
    old = domino.project_create("old").json()
    forked = domino.fork_project("forked").json()
    listed = {word: names(domino, word) for word in ("Owned", "Collaborating", "Suggesting", "Popular")}
    domino.project_archive("old")
    return {
        "made": made,
        "old": old["name"],
        "forked": forked,
        "files of the fork": files(connect("domino/forked")),
        "listed": listed,
        "listed after": names(domino, "Owned"),
        "not there": refusal(lambda: domino.project_archive("never")),
        "tags": tags(domino),
        "shared": shared(connect, domino, ada),
    }


def files(domino):
    """The paths of the latest files."""
    return [file["path"] for file in domino.files_list(domino.commits_list()[0])["data"]]


def names(domino, relationship):
    """The names of projects of a sort."""
    return [project["name"] for project in domino.projects_list(relationship)]


def tags(domino):
    """Tags, put on and taken off."""
    domino.tags_add(["one", "two"])
    put_on = [tag["name"] for tag in domino.tags_list()]
    details = domino.tag_details(domino.tag_get_id("two"))
    domino.tags_remove("two")
    return {
        "put on": put_on,
        "details": details["name"],
        "left": [tag["name"] for tag in domino.tags_list(domino.project_id)],
        "unknown": domino.tag_get_id("two"),
    }


def shared(connect, domino, ada):
    """What another person sees and may do, before and after she is let in."""
    before = refusal(lambda: ada.project_id)
    domino.collaborators_add("ada@example.org")
    listed = [person["userName"] for person in domino.collaborators_get()]
    job = ada.job_start_blocking(command="hello.py", poll_freq=0.1)
    mine = names(ada, "Collaborating")
    domino.collaborators_remove("ada")
    ada.authenticate(auth_token="wrong")
    return {
        "before": before,
        "listed": listed,
        "started by": job["startedBy"]["username"],
        "hers": mine,
        "listed after": domino.collaborators_get(),
        "wrong token": refusal(lambda: ada.projects_list()),
        "without right": refusal(
            lambda: connect("domino/projects", auth_token=os.environ["TOKEN_OF_ADA"]).job_start("hello.py")
        ),
        "unknown": refusal(lambda: domino.collaborators_add("nobody")),
        "nobody": domino.get_user_id("nobody"),
    }


def refusal(ask):
    """Why something was refused."""
    try:
        return ask()
    except requests.HTTPError as error:
        return error.response.status_code
    except exceptions.DominoException as error:
        return type(error).__name__
