import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { ReflectionService } from '@grpc/reflection';

/**
 * Lets clients ask which services and messages there are: grpc.reflection.v1, and v1alpha for older tools.
 * @param files with the services; what they import is told too
 */
export function reflectionOf(files: readonly DescFile[]): ReflectionService {
  const described = {
    format: 'Protocol Buffer 3 DescriptorProto',
    type: {},
    fileDescriptorProtos: withImports(files).map((file) =>
      Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
    ),
  } as const;
  return new ReflectionService({ described });
}

function withImports(files: readonly DescFile[]): DescFile[] {
  return [...new Set(files.flatMap((file) => [...withImports(file.dependencies), file]))];
}
