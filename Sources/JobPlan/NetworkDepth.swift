/// Where tensors lie in the depth of a network, told from the names alone.
///
/// The block number is the first path component that is a number (`model.layers.7.mlp.up_proj.weight` → 7).
/// t = number / (blocks − 1), 1 for a network of one block; tensors before and after the blocks have t = 0.
/// Source: mergekit's value grammar.
public struct NetworkDepth: Equatable, Sendable {
    private let lastBlock: [String: Int]

    /// Counts the blocks of a network from its tensors' names.
    public init(tensors: some Sequence<String>) {
        var lastBlock: [String: Int] = [:]
        for tensor in tensors {
            guard let (prefix, block) = Self.block(of: tensor) else { continue }
            lastBlock[prefix] = max(lastBlock[prefix] ?? 0, block)
        }
        self.lastBlock = lastBlock
    }

    /// The tensor's place from 0 (first block, or outside the blocks) to 1 (last block).
    public func depth(of tensor: String) -> Double {
        guard let (prefix, block) = Self.block(of: tensor), let last = lastBlock[prefix] else { return 0 }
        return last == 0 ? 1 : Double(block) / Double(last)
    }

    private static func block(of tensor: String) -> (prefix: String, block: Int)? {
        var prefix: [Substring] = []
        for component in tensor.split(separator: ".", omittingEmptySubsequences: false) {
            if let number = Int(component), number >= 0 { return (prefix.joined(separator: "."), number) }
            prefix.append(component)
        }
        return nil
    }
}
