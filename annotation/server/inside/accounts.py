"""The workspace and the users, in the server's own database: passwords as bcrypt hashes."""

from __future__ import annotations

import secrets
from typing import Any

from argilla_server.contexts import accounts
from argilla_server.database import AsyncSessionLocal
from argilla_server.models import User, Workspace
from sqlalchemy import select
from sqlalchemy.orm import selectinload


async def settle(workspace: str, users: list[dict[str, Any]]) -> dict[str, Any]:
    """Make what is missing of a workspace and its users, and give known users the role and password that are given.

    A new user without a password gets a strong one. All of it is done, or nothing.

    Returns:
        owner and api_key of the oldest owner; users: [{username, role, password}], password only if it was made here.

    Raises:
        LookupError: nobody is an owner.
    """
    async with AsyncSessionLocal() as db:
        place = await Workspace.get_by(db, name=workspace) or Workspace(name=workspace)
        db.add(place)
        settled = [await _settle(db, place, given) for given in users]
        await db.flush()
        owners = select(User).where(User.role == "owner").order_by(User.inserted_at, User.username)
        owner = (await db.scalars(owners)).first()
        if owner is None:
            raise LookupError("nobody has the role owner")
        found = {"owner": owner.username, "api_key": owner.api_key, "users": settled}
        await db.commit()
    return found


async def _settle(db: Any, place: Workspace, given: dict[str, Any]) -> dict[str, Any]:
    made = None
    user = await _find(db, given["username"])
    if user is None:
        made = None if given["password"] else secrets.token_urlsafe(12)
        user = User(first_name=given["username"], username=given["username"], role=given["role"], workspaces=[])
        user.password_hash = accounts.hash_password(given["password"] or made)
        db.add(user)
    elif given["password"] and not accounts.verify_password(given["password"], user.password_hash):
        user.password_hash = accounts.hash_password(given["password"])
    user.role = given["role"]
    if place not in user.workspaces:
        user.workspaces.append(place)
    return {"username": given["username"], "role": given["role"], "password": made}


async def _find(db: Any, username: str) -> Any:
    asked = select(User).filter_by(username=username).options(selectinload(User.workspaces))
    return (await db.scalars(asked)).one_or_none()
