"""Types of the answers about people, their tokens and their variables."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, IsoTime, ObjectId
from airflow_domino.local.answers_public import Metadata, PageMetadata


class Person(Answer):
    """Somebody, in version 4."""

    id: ObjectId
    userName: str
    fullName: str
    firstName: str
    lastName: str
    avatarUrl: str
    idpId: NotRequired[str]
    email: NotRequired[str]


class NamedOrganization(Answer):
    """An organization that somebody belongs to."""

    id: ObjectId
    name: str


class OwnPerson(Person):
    """The person whose credentials were sent."""

    roles: list[str]
    organizations: list[NamedOrganization]


class Roles(Answer):
    """What somebody is in the deployment."""

    roles: list[str]


class Variable(Answer):
    """An environment variable."""

    name: str
    value: str


class UserVariables(Answer):
    """The environment variables of a user."""

    vars: list[Variable]


class OrganizationMember(Answer):
    """Somebody who belongs to an organization."""

    id: ObjectId
    role: Literal["Member", "Admin"]


class Organization(Answer):
    """An organization, in version 4."""

    id: ObjectId
    organizationUserId: ObjectId
    name: str
    members: list[OrganizationMember]


class PublicMember(Answer):
    """Somebody who belongs to an organization, in the public API."""

    userId: ObjectId
    organizationRole: Literal["member", "admin"]


class PublicOrganization(Answer):
    """An organization, in the public API."""

    id: ObjectId
    name: str
    members: list[PublicMember]


class OrganizationEnvelope(Answer):
    """An organization in its envelope."""

    org: PublicOrganization
    metadata: Metadata


class Organizations(Answer):
    """Some organizations."""

    orgs: list[PublicOrganization]
    metadata: PageMetadata


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


class ServiceAccount(Answer):
    """A service account."""

    id: ObjectId
    idpId: str
    username: str
    email: str


class ServiceAccountEnvelope(Answer):
    """A service account in its envelope."""

    serviceAccount: ServiceAccount
    metadata: Metadata


class ServiceAccounts(Answer):
    """Some service accounts."""

    serviceAccounts: list[ServiceAccount]
    metadata: PageMetadata


class ServiceAccountToken(Answer):
    """What is known about a token of a service account."""

    name: str
    serviceAccountIdpId: str
    isValid: bool
    createdAt: IsoTime
    expiresAt: NotRequired[IsoTime]


class WholeServiceAccountToken(ServiceAccountToken):
    """A token of a service account, with its text."""

    token: str


class ServiceAccountTokenEnvelope(Answer):
    """A token of a service account in its envelope."""

    token: WholeServiceAccountToken
    metadata: Metadata


class ServiceAccountTokens(Answer):
    """Some tokens of a service account."""

    tokens: list[ServiceAccountToken]
    metadata: PageMetadata
