import Lanes
public import ReferenceModel

/// One model pass on a lane of its own.
actor PassLane {
    private let lane: Lane
    private var workspace: ShardWorkspace

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(_ name: String, _ layout: ParameterLayout, sampleCapacity: Int) {
        lane = Lane(name)
        workspace = ShardWorkspace(layout, sampleCapacity: sampleCapacity)
    }

    func perform<Result: Sendable>(_ body: @Sendable (inout ShardWorkspace) -> Result) -> Result { body(&workspace) }
}

/// Passes that share a batch; each computes some of the shards on a thread of its own.
///
/// A shard has a fixed number of samples, whatever the number of threads. The results of shards are combined in order.
/// So a result depends on the batch and not on the machine's cores.
public struct PassTeam: Sendable {
    /// The number of samples in a shard.
    public static let shardSampleCount = 16

    /// The parameters' places.
    public let layout: ParameterLayout
    private let lanes: [PassLane]

    /// Allocates the passes' buffers.
    ///
    /// - Parameters:
    ///   - layout: The model's layout.
    ///   - laneCount: Threads; each runs BLAS with one thread.
    public init(_ layout: ParameterLayout, laneCount: Int) {
        self.layout = layout
        lanes = (0..<max(1, laneCount)).map {
            PassLane("pass \($0)", layout, sampleCapacity: Self.shardSampleCount)
        }
    }

    /// Runs a body once for each shard.
    ///
    /// - Parameters:
    ///   - count: Number of samples. They are cut into shards; the last one may be smaller.
    ///   - body: Receives a workspace with arbitrary buffer contents, the shard's index and its samples.
    /// - Returns: The results of the body, in the shards' order.
    func map<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (inout ShardWorkspace, _ shard: Int, Range<Int>) -> Result
    ) async -> [Result] {
        let shards = stride(from: 0, to: count, by: Self.shardSampleCount).map {
            $0..<min(count, $0 + Self.shardSampleCount)
        }
        let (lanes, laneCount) = (lanes, lanes.count)
        return await withTaskGroup(of: [(Int, Result)].self) { group in
            for (number, lane) in lanes.enumerated() where number < shards.count {
                group.addTask {
                    await lane.perform { workspace in
                        stride(from: number, to: shards.count, by: laneCount).map {
                            ($0, body(&workspace, $0, shards[$0]))
                        }
                    }
                }
            }
            var results: [(Int, Result)] = []
            for await part in group { results += part }
            return results.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// Runs a body once for each shard, for its effect; the first failure stops the other threads at their next shard.
    ///
    /// - Parameters:
    ///   - count: Number of samples. They are cut into shards as in ``map(_:_:)``.
    ///   - body: Receives a pass with arbitrary buffer contents, and its samples.
    /// - Throws: What a body threw, or ``LaboratoryError/interrupted`` in a cancelled task. Some shards may then not
    ///   have run.
    func forEachShard(
        _ count: Int,
        _ body: @escaping @Sendable (inout TransformerPass, Range<Int>) throws(LaboratoryError) -> Void
    ) async throws(LaboratoryError) {
        let (size, lanes) = (Self.shardSampleCount, lanes)
        let failure = await withTaskGroup(of: LaboratoryError?.self) { group in
            for (number, lane) in lanes.enumerated() {
                group.addTask {
                    await lane.perform { workspace in
                        for start in stride(from: number * size, to: count, by: lanes.count * size) {
                            guard !Task.isCancelled else { return .interrupted }
                            let shard = start..<min(count, start + size)
                            do throws(LaboratoryError) { try body(&workspace.pass, shard) } catch { return error }
                        }
                        return nil
                    }
                }
            }
            var first: LaboratoryError?
            for await failure in group where failure != nil && first == nil {
                first = failure
                group.cancelAll()
            }
            return first
        }
        if let failure { throw failure }
    }

    /// Computes the features, and J τ if asked for, of many samples.
    ///
    /// - Parameters:
    ///   - tokens: `[samples, positions, width]`.
    ///   - count: Number of samples.
    ///   - parameters: θ.
    ///   - direction: τ, to compute J τ too; nil for the features alone.
    /// - Returns: `[samples, features]` each. J τ is empty without a direction.
    public func features(
        of tokens: [Float], count: Int, at parameters: [Float], along direction: [Float]? = nil
    ) async -> (features: [Float], tangents: [Float]) {
        let width = layout.shape.featureWidth
        let parts = await map(count) { workspace, _, samples in
            workspace.load(samples, from: tokens)
            workspace.pass.forward(parameters)
            if let direction { workspace.pass.tangent(parameters, along: direction) }
            return (
                Array(workspace.pass.features[..<(samples.count * width)]),
                direction == nil ? [] : Array(workspace.pass.featureTangents[..<(samples.count * width)])
            )
        }
        return (parts.flatMap(\.0), parts.flatMap(\.1))
    }
}
