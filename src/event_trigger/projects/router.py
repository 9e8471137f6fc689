"""HTTP operations on projects."""

from fastapi import Response

from event_trigger.auth.dependencies import CredentialsDep, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT_FOR_USER
from event_trigger.auth.memberships import Membership, Memberships
from event_trigger.auth.principal import Principal
from event_trigger.db.keyset import Page
from event_trigger.db.transactions import after_commit
from event_trigger.errors import (
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import ProjectRole
from event_trigger.projects import lifecycle
from event_trigger.projects.dependencies import FULL_LOGIN, OWNER
from event_trigger.projects.lifecycle import FullLoginRequired, OwnerRequired, role_in
from event_trigger.projects.schemas import ProjectCreate, ProjectRead, ProjectUpdate, read_project
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.pagination import PageQuery, PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/projects", tags=["projects"], responses=problems(Unauthorized, Invalid)
)


@router.post(
    "",
    summary="Create a project",
    operation_id="create_project",
    dependencies=[FULL_LOGIN, IDEMPOTENT_FOR_USER],
    status_code=201,
    responses={
        **problems(FullLoginRequired, lifecycle.TooManyProjects, UnsupportedMediaType),
        **with_headers(201, "Location"),
    },
)
async def create_project(
    body: ProjectCreate,
    principal: PrincipalDep,
    session: SessionDep,
    credentials: CredentialsDep,
    response: Response,
) -> ProjectRead:
    """Creates a project, whose owner you are. Add members to share it.

    Calls happen in it with its id in the header `X-Project-ID`; without that header, they happen in
    your default project. One user can own 100 projects.
    """
    made = await lifecycle.create(session, principal, body.name)
    after_commit(session, lambda: credentials.forget(str(principal.user_id)))
    response.headers["Location"] = f"/projects/{made.id}"
    return read_project(made, ProjectRole.OWNER)


@router.get(
    "",
    summary="List your projects",
    operation_id="list_projects",
    responses=problems(NotFound),
)
async def list_projects(
    principal: PrincipalDep, session: SessionDep, paging: PageQueryDep
) -> list[ProjectRead]:
    """Lists the projects that you are a member of, newest first, with your role in each.

    An API key sees its own project only. Admins list all projects with `X-Project-ID: *`; where
    they are no members, their role is that of an owner. The `Link` header with `rel="next"` leads
    to the next page.
    """
    page = await _page_of(principal, Memberships(session), paging)
    rows = paging.rows_of(page, lambda one: one.project.id)
    return [read_project(project, role) for project, role in rows]


async def _page_of(
    principal: Principal, memberships: Memberships, paging: PageQuery
) -> Page[Membership]:
    before = paging.before_id()
    names_all = principal.project_id is None
    if principal.key_id is None or names_all:
        return await memberships.list_page_of(
            principal.user_id, before=before, limit=paging.limit, with_others=names_all
        )
    project = await memberships.get_project(principal.one_project_id)
    if project is None or (before is not None and project.id >= before):
        return Page([], more=False)
    return Page([Membership(project, principal.project_role)], more=False)


@router.get(
    "/{project_id}",
    summary="Read a project",
    operation_id="get_project",
    responses=problems(NotFound),
)
async def get_project(
    project_id: PathId, principal: PrincipalDep, session: SessionDep
) -> ProjectRead:
    """Returns a project that you are a member of; admins can read any."""
    role = await role_in(session, principal, project_id)
    project = await Memberships(session).get_project(project_id)
    if project is None:
        raise NotFound
    return read_project(project, role)


@router.patch(
    "/{project_id}",
    summary="Rename a project",
    operation_id="update_project",
    dependencies=[FULL_LOGIN, OWNER],
    responses=problems(OwnerRequired, NotFound, UnsupportedMediaType),
)
async def update_project(
    project_id: PathId, body: ProjectUpdate, principal: PrincipalDep, session: SessionDep
) -> ProjectRead:
    """Applies a JSON Merge Patch (RFC 7396). This needs the role `owner`."""
    name = body.name if "name" in body.model_fields_set else None
    project = await lifecycle.rename(session, principal, project_id, name)
    return read_project(project, ProjectRole.OWNER)
