"""Follows docs/permissions.md from "why can this rep see that customer?" on: sends every call that stands there.

Run by the tests with the address of a server, the log-in of a rep who has one customer, the log-ins of an auditor and of
an administrator with the same password, and the id of a grant of the rep's:

    walkthrough.py ADDRESS TENANT REP PASSWORD AUDITOR ADMIN GRANT

The words in capitals that a reader replaces are replaced by what the answers before say.
"""

import importlib
import json
import pathlib
import re
import sys
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

from client import ROOT, stubs

DOCUMENT = ROOT / "docs" / "permissions.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"^call (\S+)/(\w+) '([^']*)'", re.MULTILINE)
# Who makes a call; the others are made by who may explain.
BY_REP = {"ListCustomers"}
BY_ADMIN = {"PreviewChange", "RevokeAndWait"}


class Person:
    """Somebody who has logged in."""

    def __init__(self, channel, tenant, username, password):
        self.channel, self.metadata = channel, []
        tokens = self.call("identity.v1.Auth", "LogIn", {"tenant_key": tenant, "username": username, "password": password, "device": "python"})
        self.id, self.metadata = tokens.subject_id, [("authorization", "Bearer " + tokens.access_token)]

    def call(self, service, name, message):
        method = descriptor_pool.Default().FindServiceByName(f"revisit.{service}").FindMethodByName(name)
        request = json_format.ParseDict(message, message_factory.GetMessageClass(method.input_type)())
        answer = message_factory.GetMessageClass(method.output_type).FromString
        path = f"/revisit.{service}/{name}"
        send = self.channel.unary_unary(path, request_serializer=type(request).SerializeToString, response_deserializer=answer)
        return send(request, metadata=self.metadata, timeout=30)


def main():
    address, tenant, rep, password, auditor, admin, grant = sys.argv[1:8]
    stubs()
    for path in (ROOT / "proto").rglob("*.proto"):
        importlib.import_module(".".join(path.relative_to(ROOT / "proto").with_suffix("").parts) + "_pb2")
    with grpc.insecure_channel(address) as channel:
        rep, auditor, admin = (Person(channel, tenant, name, password) for name in (rep, auditor, admin))
        words = {"MEI": rep.id, "ASSIGNEE": rep.id, "TASK": str(uuid.uuid4()), "GRANT": grant}
        told = {}
        for block in BLOCK.findall(DOCUMENT.read_text()):
            for service, name, text in CALL.findall(block):
                for word, value in words.items():
                    text = text.replace(f'"{word}"', f'"{value}"')
                left = re.findall(r'": "([A-Z]+)"', text)
                assert not left, f"nothing before says what {left} is, of {name}"
                who = rep if name in BY_REP else admin if name in BY_ADMIN else auditor
                answer = who.call(service, name, json.loads(text))
                told.setdefault(name, []).append(answer)
                if name == "ListCustomers":
                    (customer,) = answer.customers
                    assert customer.owner_id == rep.id, customer
                    words |= {"CUSTOMER": customer.customer_id, "OWNER": customer.owner_id, "STORE": customer.department_id}
                if name == "ListSubjectsWithAccess":
                    assert rep.id in {subject.subject_id for subject in answer.subjects}, answer
                    if answer.HasField("decide_time"):
                        words["TIME"] = answer.decide_time.ToJsonString()

        why, lent = told["ExplainAccess"]
        assert why.answer.allowed and "/role:" in why.answer.witness and why.explanation, why
        assert lent.answer.allowed, lent
        (shown,) = told["PreviewChange"]
        (ended,) = told["RevokeAndWait"]
        print(f"sent {sum(map(len, told.values()))} calls; she sees it by {why.answer.witness}")


if __name__ == "__main__":
    main()
