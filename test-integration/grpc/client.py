"""A gRPC client that knows nothing of Sluice: what there is to call it learns by reflection.

One order a line on standard input, one answer a line on standard output, both JSON:

    { "id": 1, "method": "Publish", "requests": [{…}], "timeout": 5, "token": "…", "cancelAfter": 1 }
    { "id": 1, "status": "OK", "code": null, "details": "", "responses": [{…}] }

`code` is the trailer `sluice-error`. Orders are carried out side by side. Messages are as protobuf's JSON has them.
"""

import argparse
import json
import sys
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
FIELD = descriptor_pb2.FieldDescriptorProto


def field(name, number, kind=FIELD.TYPE_STRING, repeated=False, type_name=None):
    label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
    return FIELD(name=name, number=number, type=kind, label=label, type_name=type_name)


def reflection_types():
    """The few messages of grpc.reflection.v1 that are needed, as its definition has them."""
    file = descriptor_pb2.FileDescriptorProto(name="r.proto", package="r", syntax="proto3")

    def message(name, *fields):
        file.message_type.add(name=name).field.extend(fields)

    message("Request", field("file_containing_symbol", 4), field("list_services", 7))
    message("Files", field("file_descriptor_proto", 1, FIELD.TYPE_BYTES, repeated=True))
    message("Service", field("name", 1))
    message("Services", field("service", 1, FIELD.TYPE_MESSAGE, repeated=True, type_name=".r.Service"))
    message(
        "Response",
        field("file_descriptor_response", 4, FIELD.TYPE_MESSAGE, type_name=".r.Files"),
        field("list_services_response", 6, FIELD.TYPE_MESSAGE, type_name=".r.Services"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [prototype(pool.FindMessageTypeByName(f"r.{name}")) for name in ("Request", "Response")]


def prototype(descriptor):
    return message_factory.MessageFactory(descriptor_pool.DescriptorPool()).GetPrototype(descriptor)


class Server:
    """A server whose services are known by what it tells of itself."""

    def __init__(self, channel):
        self.channel = channel
        self.pool = descriptor_pool.DescriptorPool()
        self.services = self.learn()

    def learn(self):
        request, response = reflection_types()
        ask = self.channel.stream_stream(
            REFLECTION, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )
        [listed] = ask(iter([request(list_services="*")]), timeout=30)
        services = [service.name for service in listed.list_services_response.service]
        asked = iter([request(file_containing_symbol=name) for name in services])
        files = {}
        for answer in ask(asked, timeout=30):
            for encoded in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
                files[file.name] = file
        added = set()

        def add(name):
            if name in added or name not in files:
                return
            added.add(name)
            for dependency in files[name].dependency:
                add(dependency)
            self.pool.Add(files[name])

        for name in list(files):
            add(name)
        return services

    def method(self, name):
        for service in self.services:
            found = self.pool.FindServiceByName(service).methods_by_name.get(name)
            if found:
                return found
        raise KeyError(name)

    def call(self, order):
        method = self.method(order["method"])
        request, response = prototype(method.input_type), prototype(method.output_type)
        proto = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(proto)
        path = f"/{method.containing_service.full_name}/{method.name}"
        kind = f"{'stream' if proto.client_streaming else 'unary'}_{'stream' if proto.server_streaming else 'unary'}"
        stub = getattr(self.channel, kind)(
            path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )
        requests = [json_format.ParseDict(one, request()) for one in order["requests"]]
        given = iter(requests) if proto.client_streaming else requests[0]
        token = order.get("token")
        metadata = [("authorization", f"Bearer {token}")] if token else []
        options = {"timeout": order.get("timeout"), "metadata": metadata}
        responses = []
        if proto.server_streaming:
            call = stub(given, **options)
            for one in call:
                responses.append(json_format.MessageToDict(one, including_default_value_fields=True))
                if len(responses) == order.get("cancelAfter"):
                    call.cancel()
        else:
            responses.append(json_format.MessageToDict(stub(given, **options), including_default_value_fields=True))
        return responses


def answer(server, order):
    result = {"id": order["id"], "status": "OK", "code": None, "details": "", "responses": []}
    try:
        result["responses"] = server.call(order)
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        result.update(status=error.code().name, code=trailers.get("sluice-error"), details=error.details())
    except Exception as error:  # so that the test sees it
        result.update(status="BROKEN", details=repr(error))
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("address")
    arguments.add_argument("--ca", help="without it: no TLS")
    given = arguments.parse_args()
    limits = [("grpc.max_receive_message_length", -1)]
    if given.ca:
        with open(given.ca, "rb") as file:
            channel = grpc.secure_channel(given.address, grpc.ssl_channel_credentials(file.read()), limits)
    else:
        channel = grpc.insecure_channel(given.address, limits)
    server = Server(channel)
    print(json.dumps({"services": server.services}), flush=True)
    for line in sys.stdin:
        threading.Thread(target=answer, args=(server, json.loads(line)), daemon=True).start()


main()
