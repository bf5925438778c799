"""A client in another language: logs in, imports a file, lists customers and completes a task.

Run by the tests with the address of a server and the log-in of an administrator:

    client.py ADDRESS TENANT USERNAME PASSWORD

It knows nothing but the protos of the repository, which it compiles by itself.
"""

import pathlib
import sys
import tempfile
import time
import uuid

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_SECONDS_MAX = 60

HEADER = "姓名,手机号,城市\r\n"
ROWS = ["王芳,１３８ 0000 0001,上海", "李伟,+86 139-0000-0002,北京", "张敏,不详,广州", "王女士,13800000001,上海"]


def stubs():
    """Compiles the protos into a folder of their own and imports what is needed."""
    out = tempfile.mkdtemp()
    files = [str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")]
    include = pathlib.Path(protoc.__file__).parent / "_proto"
    code = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", f"--python_out={out}", f"--grpc_python_out={out}", *files])
    assert code == 0, "the protos compile"
    sys.path.insert(0, out)


def main():
    address, tenant, username, password = sys.argv[1:5]
    stubs()
    from google.protobuf.timestamp_pb2 import Timestamp
    from revisit.customer.v1 import customers_pb2, customers_pb2_grpc, import_pb2, import_pb2_grpc
    from revisit.followup.v1 import plans_pb2, tasks_pb2, tasks_pb2_grpc
    from revisit.identity.v1 import auth_pb2, auth_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        tokens = auth_pb2_grpc.AuthStub(channel).LogIn(
            auth_pb2.LogInRequest(tenant_key=tenant, username=username, password=password, device="python"), timeout=30)
        session = {"metadata": [("authorization", "Bearer " + tokens.access_token)], "timeout": 30}

        imports = import_pb2_grpc.ImportStub(channel)
        def upload():
            yield import_pb2.UploadFileRequest(header=import_pb2.UploadHeader(file_name="客户.csv", request_id=str(uuid.uuid4())))
            yield import_pb2.UploadFileRequest(data=(HEADER + "\r\n".join(ROWS)).encode("gb18030"))
        job = imports.UploadFile(upload(), **session)
        assert job.encoding == "gb18030", job
        assert [column.target for column in job.mapping] == ["name", "phone", "city"], job.mapping
        job = imports.StartImport(import_pb2.StartImportRequest(job_id=job.job_id), **session)
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while job.state not in (import_pb2.IMPORT_STATE_DONE, import_pb2.IMPORT_STATE_STOPPED):
            assert time.monotonic() < deadline, f"the import does not end: {job}"
            for job in imports.WatchImport(import_pb2.GetImportRequest(job_id=job.job_id), **session):
                pass
        counts = (job.created_count, job.merged_count + job.duplicate_count, job.rejected_count)
        assert counts == (2, 1, 1), f"created, repeated, rejected: {counts}"

        customers = customers_pb2_grpc.CustomersStub(channel)
        listed = customers.ListCustomers(customers_pb2.ListCustomersRequest(filter='city == "上海"'), **session).customers
        assert [customer.name for customer in listed] == ["王芳"], listed
        phone = listed[0].contact_points[0]
        assert "0000" not in phone.value and "*" in phone.value, f"masked unless asked for: {phone}"

        due = Timestamp()
        due.FromSeconds(tokens.access_token_expire_time.seconds + 3600)
        tasks = tasks_pb2_grpc.TasksStub(channel)
        task = tasks.CreateTask(tasks_pb2.CreateTaskRequest(
            kind=tasks_pb2.TASK_KIND_TODO, title="回电", due_time=due, request_id=str(uuid.uuid4())), **session)
        done = tasks.CompleteTask(tasks_pb2.CompleteTaskRequest(
            task_id=task.task_id, result="done", channel=plans_pb2.CHANNEL_OTHER, request_id=str(uuid.uuid4())), **session)
        assert done.task.state == tasks_pb2.TASK_STATE_DONE, done

        try:
            customers.GetCustomer(customers_pb2.GetCustomerRequest(customer_id="nonsense"), **session)
            raise AssertionError("a malformed id is refused")
        except grpc.RpcError as refusal:
            assert refusal.code() == grpc.StatusCode.INVALID_ARGUMENT, refusal
    print("logged in, imported 4 rows, listed 1 customer, completed 1 task")


if __name__ == "__main__":
    main()
