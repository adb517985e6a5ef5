import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';

/**
 * Lets clients ask which services and messages there are (grpc.reflection.v1, and v1alpha for older tools): those of `file`, with what it
 * imports, and health.
 */
export function reflectionOf(file: DescFile): ReflectionService {
  const described = {
    format: 'Protocol Buffer 3 DescriptorProto',
    type: {},
    fileDescriptorProtos: withImports(file).map((one) =>
      Buffer.from(toBinary(FileDescriptorProtoSchema, one.proto)),
    ),
  } as const;
  return new ReflectionService({ described, health: healthService['Check']!.requestType });
}

function withImports(file: DescFile): DescFile[] {
  return [...new Set([...file.dependencies.flatMap(withImports), file])];
}
