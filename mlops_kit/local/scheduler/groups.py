"""Schedule groups and their tags: five operations and three; must not know when anything fires."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlops_kit.local.scheduler import book as entries
from mlops_kit.local.scheduler.book import Book, Group
from mlops_kit.local.scheduler.checks import moment, refusal
from mlops_kit.local.scheduler.paging import page
from mlops_kit.local.service import ACCOUNT, AwsError, Handler, Request

if TYPE_CHECKING:
    from mlops_kit.local.clock import Clock
    from mlops_kit.local.scheduler.firing import Firing

_MOST_TAGS = 50


def not_found(words: str) -> AwsError:
    """A ResourceNotFoundException."""
    return AwsError("ResourceNotFoundException", words, 404, {"Message": words})


def conflict(words: str) -> AwsError:
    """A ConflictException."""
    return AwsError("ConflictException", words, 409, {"Message": words})


class Groups:
    """The groups of every region.

    Parameters
    ----------
    clock : Clock
        The one clock.
    book : Book
        The tables.
    firing : Firing
        Hears of schedules that go with their group.
    """

    def __init__(self, clock: Clock, book: Book, firing: Firing) -> None:
        self._clock = clock
        self._book = book
        self._firing = firing

    def operations(self) -> dict[str, Handler]:
        """The operations by AWS's names."""
        return {
            "CreateScheduleGroup": self._create,
            "GetScheduleGroup": lambda request: self.get(request.region, request.params["Name"]).body,
            "DeleteScheduleGroup": self._delete,
            "ListScheduleGroups": self._list,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": lambda request: {"Tags": self._tagged(request).tags},
        }

    def get(self, region: str, name: str) -> Group:
        """A group; ``default`` is always there.

        Raises
        ------
        AwsError
            ResourceNotFoundException.
        """
        group = self._book.group(region, name)
        if group is None and name == "default":
            group = self._new(region, name)
            self._book.write([entries.put_group(group)])
        if group is None:
            raise not_found(f"Schedule group {name} does not exist.")
        return group

    def _new(self, region: str, name: str) -> Group:
        now = moment(self._clock.now())
        arn = f"arn:aws:scheduler:{region}:{ACCOUNT}:schedule-group/{name}"
        body = {"Arn": arn, "Name": name, "State": "ACTIVE"}
        return Group(region, name, {**body, "CreationDate": now, "LastModificationDate": now})

    def _create(self, request: Request) -> dict[str, Any]:
        name, token = request.params["Name"], request.params.get("ClientToken", "")
        with self._firing.guard:
            known = self._book.group(request.region, name)
            if known is None and name != "default":
                known = replace(
                    self._new(request.region, name), tags=request.params.get("Tags", []), token=token
                )
                self._book.write([entries.put_group(known)])
            elif known is None or not token or known.token != token:
                raise conflict(f"Schedule group {name} already exists.")
        return {"ScheduleGroupArn": known.body["Arn"]}

    def _delete(self, request: Request) -> dict[str, Any]:
        name, region = request.params["Name"], request.region
        if name == "default":
            raise refusal("The default schedule group cannot be deleted.")
        with self._firing.guard:
            self.get(region, name)
            for schedule in self._book.schedules(region):
                if schedule.key.group == name:
                    self._firing.disarm(schedule.key)
            self._book.write(entries.drop_group(region, name))
        return {}

    def _list(self, request: Request) -> dict[str, Any]:
        self.get(request.region, "default")
        prefix = request.params.get("NamePrefix", "")
        groups = [g for g in self._book.groups(request.region) if g.name.startswith(prefix)]
        shown, token = page(groups, lambda group: [group.name], request.params)
        return {"ScheduleGroups": [group.body for group in shown], "NextToken": token}

    def _tagged(self, request: Request) -> Group:
        match = re.fullmatch(r"arn:aws[a-z-]*:scheduler:([^:]+):\d+:schedule-group/(.+)", _arn(request))
        if match is None:  # the model's pattern lets nothing else through
            raise refusal("Provided Arn is not in correct format.")
        return self.get(match[1], match[2])

    def _tag(self, request: Request) -> dict[str, Any]:
        with self._firing.guard:
            group = self._tagged(request)
            tags = {tag["Key"]: tag for tag in [*group.tags, *request.params["Tags"]]}
            if len(tags) > _MOST_TAGS:
                raise refusal(f"A resource has at most {_MOST_TAGS} tags.")
            self._book.write([entries.put_group(replace(group, tags=list(tags.values())))])
        return {}

    def _untag(self, request: Request) -> dict[str, Any]:
        with self._firing.guard:
            group = self._tagged(request)
            kept = [tag for tag in group.tags if tag["Key"] not in request.params["TagKeys"]]
            self._book.write([entries.put_group(replace(group, tags=kept))])
        return {}


def _arn(request: Request) -> str:
    return str(request.params["ResourceArn"])
