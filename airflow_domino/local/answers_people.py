"""Types of the answers about people and their tokens."""

from __future__ import annotations

from typing import NotRequired

from airflow_domino.local.answers import Answer, Free, IsoTime, ObjectId


class Person(Answer):
    """Somebody, in version 4."""

    id: ObjectId
    userName: str
    fullName: str
    firstName: str
    lastName: str
    avatarUrl: str
    email: NotRequired[str]


class OwnPerson(Person):
    """The person whose credentials were sent."""

    roles: list[str]
    organizations: list[Free]


class PersonalToken(Answer):
    """What is known about a personal access token."""

    patId: ObjectId
    userId: ObjectId
    name: str
    description: NotRequired[str]
    isValid: bool
    createdAt: IsoTime
    expiresAt: IsoTime


class NewPersonalToken(PersonalToken):
    """A personal access token at the only moment at which it can be read."""

    token: str
