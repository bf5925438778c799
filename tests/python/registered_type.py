"""Asks about rows of a system of its own: registers a type, gives a right to it, and sends attributes with each question.

Run by the tests with the address of a server, the log-in of an administrator and the id of a user:

    registered_type.py ADDRESS TENANT USERNAME PASSWORD USER_ID

The table of contracts is this program's; Revisit knows of it what a question says, and nothing afterwards.
"""

import sys
import uuid

import grpc

from client import stubs

VERBS = {"read": "external.view", "sign": "external.approve"}


def main():
    address, tenant, username, password, mei = sys.argv[1:6]
    stubs()
    from revisit.identity.v1 import (
        access_pb2, access_pb2_grpc, auth_pb2, auth_pb2_grpc, decisions_pb2, external_types_pb2 as types,
        external_types_pb2_grpc, rights_pb2)

    contracts = {str(uuid.uuid4()): owner for owner in (mei, "", mei, "")}
    with grpc.insecure_channel(address) as channel:
        tokens = auth_pb2_grpc.AuthStub(channel).LogIn(
            auth_pb2.LogInRequest(tenant_key=tenant, username=username, password=password, device="python"), timeout=30)
        session = {"metadata": [("authorization", "Bearer " + tokens.access_token)], "timeout": 30}
        access = access_pb2_grpc.AccessStub(channel)

        external_types_pb2_grpc.ExternalTypesStub(channel).CreateExternalType(
            types.CreateExternalTypeRequest(
                external_type=types.ExternalType(
                    name="contract", display_name="Contracts", keeping=types.EXTERNAL_KEEPING_SENT, attributes=["owner"],
                    actions=[types.ExternalAction(name=name, verb=verb) for name, verb in VERBS.items()],
                    fields=[types.ExternalField(name="price", layer="financial")]),
                request_id=str(uuid.uuid4())), **session)
        access.CreateGrant(
            access_pb2.CreateGrantRequest(
                holder_id=mei, reason="signs contracts", request_id=str(uuid.uuid4()),
                right=rights_pb2.GrantTemplate(
                    actions=["external.approve"], external_types=["contract"],
                    extent=rights_pb2.Extent(kind=rights_pb2.EXTENT_KIND_OWN),
                    levels=rights_pb2.LayerLevels(basic=rights_pb2.LEVEL_READ))), **session)

        def may(action, **more):
            """Which contracts, in one call."""
            rows = [decisions_pb2.RowAttributes(row_id=row_id, owner_id=owner, **more) for row_id, owner in contracts.items()]
            checks = [decisions_pb2.CheckRequest(subject_id=mei, action=action, row=row) for row in rows]
            results = access.BatchCheck(decisions_pb2.BatchCheckRequest(checks=checks), **session).results
            # A question that cannot be answered spoils no other, and is no permission.
            return [row_id for row_id, result in zip(contracts, results) if result.answer.allowed]

        signed, read, unknown = may("contract.sign"), may("contract.read"), may("contract.sign", stage="draft")
        assert signed == [row_id for row_id, owner in contracts.items() if owner == mei], signed
        assert (read, unknown) == ([], []), "nobody gave her to read, and contracts have no stage"
        mine = decisions_pb2.RowAttributes(row_id=signed[0], owner_id=mei, external_type="contract")
        question = decisions_pb2.CheckRequest(subject_id=mei, action="external.approve", row=mine)
        fields = access.CheckFields(decisions_pb2.CheckFieldsRequest(check=question, fields=["price"]), **session).fields
        assert [(field.layer, field.level) for field in fields] == [("financial", rights_pb2.LEVEL_HIDDEN)], fields
    print(f"registered 1 type, she signs {len(signed)} of {len(contracts)} contracts")


if __name__ == "__main__":
    main()
