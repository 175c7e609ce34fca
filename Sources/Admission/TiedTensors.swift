import JobPlan
import Safetensors
import UnitOperations

/// Finds tensors that one side of a merge lacks because they are tied to another tensor, such as a head to its
/// embedding.
struct TiedTensors {
    /// The open files of the job that slices refer to.
    let files: [SafetensorsFile]

    /// The most differing tensors that are compared.
    ///
    /// More of them have another cause than tied heads, and comparing all would read the models many times.
    private static let candidatesMax = 8
    /// Bytes that are compared at a time.
    private static let blockByteCount = 1 << 20

    /// Notes which of a checkpoint's tensors are tied, and gives a missing tensor the one that it is tied to.
    ///
    /// A tensor is tied when the side that has it holds the same bytes under another name that both sides have. A
    /// missing tensor is also tied when the checkpoint's configuration says that it ties its word embeddings.
    func settle(_ checkpoint: inout CheckpointInventory, against base: CheckpointInventory) {
        let own = checkpoint
        let missing = base.tensors.values.filter { own.tensors[$0.name] == nil && Self.isMatrix($0) }
        let strangers = own.tensors.values.filter { base.tensors[$0.name] == nil && Self.isMatrix($0) }
        guard missing.count + strangers.count <= Self.candidatesMax else { return }
        for tensor in missing {
            let twins = twins(of: tensor, in: base, shared: own)
            let saysTied = own.configuration?.tiesEmbeddings ?? false
            let twin = twins.first { holdSameBytes($0, tensor) } ?? (saysTied ? twins.first(where: \.isEmbedding) : nil)
            if let twin { checkpoint.tie(tensor.name, to: twin.name) }
        }
        for tensor in strangers {
            let twin = twins(of: tensor, in: own, shared: base).first { holdSameBytes($0, tensor) }
            if let twin { checkpoint.tie(tensor.name, to: twin.name) }
        }
    }

    private static func isMatrix(_ tensor: TensorInventory) -> Bool {
        tensor.shape.count == 2 && tensor.elementCount > 1 && tensor.floatingType != nil
    }

    /// The tensors of the same type and shape that both sides have, embeddings first.
    private func twins(
        of tensor: TensorInventory, in owner: CheckpointInventory, shared other: CheckpointInventory
    ) -> [TensorInventory] {
        owner.tensors.values.filter { twin in
            twin.name != tensor.name && twin.shape == tensor.shape && twin.elementType == tensor.elementType
                && other.tensors[twin.name] != nil
        }.sorted { ($0.isEmbedding ? 0 : 1, $0.name) < ($1.isEmbedding ? 0 : 1, $1.name) }
    }

    /// Whether two tensors hold the same numbers; constants do not count, because they may be equal by chance.
    private func holdSameBytes(_ one: TensorInventory, _ other: TensorInventory) -> Bool {
        guard one.slice.byteCount == other.slice.byteCount else { return false }
        let size = one.slice.byteCount
        let element = Int(size) / max(1, one.elementCount)
        for offset in stride(from: UInt64(0), to: size, by: Self.blockByteCount) {
            let count = Int(min(UInt64(Self.blockByteCount), size - offset))
            guard let first = bytes(one.slice, offset, count), let second = bytes(other.slice, offset, count),
                first == second
            else { return false }
            if offset == 0, first.dropFirst(element).elementsEqual(first.dropLast(element)) { return false }
        }
        return true
    }

    private func bytes(_ slice: FileSlice, _ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard files.indices.contains(slice.file) else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        guard (try? files[slice.file].read(fromFileOffset: Int(slice.offset + offset), into: &raw)) != nil else {
            return nil
        }
        return bytes
    }
}
