/// The depth of tensors in a network, from their names and their order in the base.
///
/// A path component numbers a block (`model.layers.7.mlp.up_proj.weight` → 7). Every stack of blocks (`encoder.block`,
/// `decoder.block`, `visual.blocks`) has its own depth: t = number / (blocks − 1), or 1 for a stack of one block.
/// Tensors before the blocks (embeddings) have t = 0; tensors after them (norm, head) have t = 1.
/// Source: mergekit's value grammar.
public struct NetworkDepth: Equatable, Sendable {
    /// The place of a tensor.
    public enum Place: Equatable, Sendable {
        /// In a block, at t.
        case block(Double)
        /// Before the blocks of its stack.
        case before
        /// After the blocks of its stack.
        case behind
        /// Outside the blocks, at an unknown side.
        case unknown
    }

    private let stacks: [String: BlockStack]
    /// The position of each tensor in the base's files; empty when the files are sorted by name.
    private let order: [String: Int]

    /// Finds the stacks of a base.
    public init(base: CheckpointInventory) {
        let tensors = base.shards.flatMap(\.tensors)
        order =
            Self.isSorted(tensors)
            ? [:] : Dictionary(tensors.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        stacks = BlockStack.find(in: tensors.map(\.name))
    }

    /// The tensor's t, from 0 to 1.
    public func depth(of tensor: String) -> Double {
        switch place(of: tensor) {
        case .block(let t): t
        case .before, .unknown: 0
        case .behind: 1
        }
    }

    /// The tensor's place, relative to the stacks of the nearest enclosing module.
    public func place(of tensor: String) -> Place {
        let components = tensor.split(separator: ".", omittingEmptySubsequences: false)
        if let (prefix, block) = BlockStack.block(of: components, in: stacks), let stack = stacks[prefix] {
            return .block(stack.last == 0 ? 1 : Double(block) / Double(stack.last))
        }
        let enclosing = stacks.values.filter { components.starts(with: $0.module) }
        let depth = enclosing.map(\.module.count).max() ?? 0
        let around = enclosing.isEmpty ? Array(stacks.values) : enclosing.filter { $0.module.count == depth }
        for component in components.dropFirst(depth) {
            if let place = DepthVocabulary.place(of: component.lowercased()) { return place }
        }
        return placeByOrder(tensor, around)
    }

    /// The number of the block in which the tensor lies; `nil` outside the blocks.
    func layer(of tensor: String) -> Int? {
        BlockStack.block(of: tensor.split(separator: ".", omittingEmptySubsequences: false), in: stacks)?.block
    }

    /// The lists of blocks that lie in no block of another list, by their names, with the number of their blocks.
    var outerStacks: [String: Int] {
        stacks.filter { BlockStack.block(of: $0.key.split(separator: "."), in: stacks) == nil }
            .mapValues { $0.last + 1 }
    }

    private func placeByOrder(_ tensor: String, _ around: [BlockStack]) -> Place {
        guard let position = order[tensor] else { return .unknown }
        let ends = around.compactMap { stack in stack.lastTensor.flatMap { order[$0] } }
        guard !ends.isEmpty else { return .unknown }
        return ends.contains { $0 < position } ? .behind : .before
    }

    /// Whether the files are sorted by name, as some writers do; such an order tells nothing.
    private static func isSorted(_ tensors: [TensorInventory]) -> Bool {
        // Some writers sort within each element type.
        Dictionary(grouping: tensors, by: \.elementType).values.allSatisfy { group in
            zip(group, group.dropFirst()).allSatisfy { $0.name < $1.name }
        }
    }
}

/// Numbered blocks under one name.
struct BlockStack: Equatable, Sendable {
    /// The path of the module that holds the list of blocks.
    var module: [Substring]
    /// The last block's number.
    var last: Int
    /// The stack's last tensor in the base.
    var lastTensor: String?

    /// Common names of lists of blocks.
    private static let names: Set<Substring> = [
        "block", "blocks", "h", "layer", "layers", "resblocks", "stages", "decoder_layers", "encoder_layers",
    ]

    /// The stack and the block number of a name.
    static func block(of components: [Substring], in stacks: [String: BlockStack]) -> (prefix: String, block: Int)? {
        for (position, component) in components.enumerated() {
            guard let number = number(component) else { continue }
            let prefix = components[..<position].joined(separator: ".")
            if stacks[prefix] != nil { return (prefix, number) }
        }
        return nil
    }

    /// The stacks among tensors, by the common name of their blocks.
    static func find(in tensors: [String]) -> [String: BlockStack] {
        var lists: [String: [Int: Set<String>]] = [:]
        for tensor in tensors {
            let components = tensor.split(separator: ".", omittingEmptySubsequences: false)
            for (position, component) in components.enumerated() {
                guard let number = number(component) else { continue }
                let prefix = components[..<position].joined(separator: ".")
                lists[prefix, default: [:]][number, default: []].insert(
                    components[(position + 1)...].joined(separator: "."))
            }
        }
        var stacks: [String: BlockStack] = [:]
        for (prefix, blocks) in lists where isStack(prefix, blocks) {
            let components = prefix.split(separator: ".", omittingEmptySubsequences: false)
            stacks[prefix] = BlockStack(module: Array(components.dropLast()), last: blocks.keys.max() ?? 0)
        }
        for tensor in tensors {
            let components = tensor.split(separator: ".", omittingEmptySubsequences: false)
            if let (prefix, _) = block(of: components, in: stacks) { stacks[prefix]?.lastTensor = tensor }
        }
        return stacks
    }

    /// Whether numbered modules are blocks, not the parts of a head (`classifier.0`, `classifier.3`).
    private static func isStack(_ prefix: String, _ blocks: [Int: Set<String>]) -> Bool {
        if let name = prefix.split(separator: ".").last, names.contains(name) { return true }
        guard blocks.count > 1, let first = blocks[0], let last = blocks[blocks.count - 1] else { return false }
        return !prefix.isEmpty && 2 * first.intersection(last).count >= max(first.count, last.count)
    }

    private static func number(_ component: Substring) -> Int? {
        component.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(component) : nil
    }
}
