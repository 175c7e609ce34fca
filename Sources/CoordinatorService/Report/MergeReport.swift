import Admission
import Identifiers
import JSONText
import JobFiles
import JobPlan
import TaskArithmetic
import UnitOperations

/// The part of the report about the merged checkpoint.
struct MergeReport {
    let job: Job
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    private var plan: JobPlan { job.plan }
    private var companions: CompanionFiles {
        CompanionFiles(besides: job.inputs.base, hasTokenizer: plan.spec.checkpoint.copiesTokenizer)
    }

    /// The merged tensors, the method, and the tensors that were not merged; null for a job without a merge.
    var json: JSONValue {
        guard plan.spec.outputs.contains(.merged) else { return .null }
        var members: [JSONValue.Member] = [.init("method", .string(plan.spec.method.name))]
        if let merged { members += rows(of: merged) }
        members += [.init("copied", copied), .init("tied", tied)]
        if plan.spec.checkpoint.adapterRank == nil {
            members.append(.init("files", .ofCompanions(companions)))
        } else {
            members.append(.init("adapter", adapter))
        }
        return .object(members + [.init("health", .object(health))])
    }

    /// What the merge measured.
    private var measured: [MeasurementName: [Double]]? {
        plan.units.first { $0.work == .coordinator(.mergeCheckpoint) }.flatMap { result($0.index)?.measurements }
    }

    private var merged: MergedTensors? {
        measured.flatMap { MergedTensors($0, taskCount: plan.spec.mergedTasks.count) }
    }

    /// The ranks of the adapter's factors, and how far their products are from the merged vectors.
    private var adapter: JSONValue {
        let names = plan.inventory.base.shards.flatMap(\.tensors).map(\.name)
        let numbers = measured?[.lowRank] ?? []
        func share(_ errors: Double, _ squares: Double) -> JSONValue {
            .of(squares > 0 ? (errors / squares).squareRoot() : 0)
        }
        var (errors, squares) = (0.0, 0.0)
        var tensors: [JSONValue.Member] = []
        for first in stride(from: 0, to: numbers.count - 3, by: 4) {
            guard let position = Int(exactly: numbers[first]), names.indices.contains(position),
                let rank = Int(exactly: numbers[first + 1])
            else { continue }
            errors += numbers[first + 2]
            squares += numbers[first + 3]
            tensors.append(
                .init(
                    names[position],
                    .object([
                        .init("rank", .number("\(rank)")),
                        .init("relative_error", share(numbers[first + 2], numbers[first + 3])),
                    ])))
        }
        return .object([.init("relative_error", share(errors, squares)), .init("tensors", .object(tensors))])
    }

    /// The base's tensors with the state of each, by name.
    private func tensors(of merged: MergedTensors) -> [(name: String, tensor: MergedTensors.Tensor)] {
        let names = plan.inventory.base.shards.flatMap(\.tensors).map(\.name)
        return zip(names, merged.tensors).map { ($0, $1) }.sorted { $0.name < $1.name }
    }

    private func rows(of merged: MergedTensors) -> [JSONValue.Member] {
        let tensors = tensors(of: merged)
        let merged = plan.blocks.filter { plan.products[$0.name, .blockMerge] != nil }
        let coverage = RegionCoverage(plan.inventory.base.withCopies(merged.flatMap(\.regions)))
        // A tensor may be merged with factors in part; it is then listed in both places.
        func isCovered(_ name: String) -> Bool {
            coverage.touches(name)
                && plan.inventory.base.tensors[name].map { coverage.rest(of: $0).isEmpty } ?? false
        }
        func names(_ state: MergedTensors.State, _ isWanted: (String) -> Bool = { _ in true }) -> JSONValue {
            .array(tensors.filter { $0.tensor.state == state && isWanted($0.name) }.map { .string($0.name) })
        }
        let whole = Set(plan.mergedParts.values.map(\.tensor))
        func isWhole(_ name: String) -> Bool { whole.contains(name) }
        let tasks = plan.spec.mergedTasks.map(\.name.rawValue)
        let differing = tensors.filter { $0.tensor.state == .copied && !$0.tensor.differing.isEmpty }.map {
            name, tensor in
            JSONValue.Member(name, .array(tensor.differing.sorted().map { .string(tasks[$0]) }))
        }
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        let byRule = ElementwiseRule.allCases.compactMap { rule -> JSONValue.Member? in
            let merged = names(.changed) {
                !isCovered($0) && !isWhole($0) && settings.elementwiseRule(tensor: $0) == rule
            }
            return merged == .array([]) ? nil : JSONValue.Member(rule.reportKey, merged)
        }
        let mergedWhole: [JSONValue.Member] =
            whole.isEmpty ? [] : [.init("merged_whole", names(.changed, isWhole))]
        return byRule + mergedWhole + [
            .init("merged_with_factors", names(.changed, coverage.touches)),
            .init(
                "tensors",
                .object([
                    .init("changed", names(.changed)), .init("unchanged", names(.unchanged)),
                    .init("copied", names(.copied)),
                    // Models whose values were not taken, for the tensors that were copied.
                    .init("differing", .object(differing)),
                ])),
            .init("models", .object(models(tensors))),
            .init("non_finite", .object(nonFinite(tensors))),
        ]
    }

    /// The most names of a model that the report lists.
    private static let unmatchedNamesMax = 5

    /// For each model: its tensors that were merged, those of them that differ from the base's, and its names that no
    /// tensor of the output has.
    private func models(_ tensors: [(name: String, tensor: MergedTensors.Tensor)]) -> [JSONValue.Member] {
        let merged = tensors.filter { $0.tensor.state != .copied }
        return plan.spec.mergedTasks.enumerated().map { position, task in
            let own = plan.inventory.checkpoints[task.name]?.tensors ?? [:]
            let unmatched = plan.inventory.unmatchedTensors(of: task.name)
            return .init(
                task.name.rawValue,
                .object([
                    .init("merged", .number("\(merged.count { own[$0.name] != nil })")),
                    .init("differing", .number("\(merged.count { $0.tensor.differing.contains(position) })")),
                    .init("unmatched", .number("\(unmatched.count)")),
                    .init(
                        "unmatched_names", .array(unmatched.prefix(Self.unmatchedNamesMax).map { .string($0) })),
                ]))
        }
    }

    /// The NaN and infinities that were read, by checkpoint and tensor.
    private func nonFinite(_ tensors: [(name: String, tensor: MergedTensors.Tensor)]) -> [JSONValue.Member] {
        let tasks = plan.spec.mergedTasks.enumerated().map { ($1.name.rawValue, $0 + 1) }
        return ([("base", 0)] + tasks).compactMap { name, place in
            let counts = tensors.compactMap { tensor, found in
                found.nonFinite[place].map { JSONValue.Member(tensor, .number("\($0)")) }
            }
            return counts.isEmpty ? nil : .init(name, .object(counts))
        }
    }

    /// The base's tensors that were copied, by reason.
    private var copied: JSONValue {
        let copied = CopiedTensors(spec: plan.spec, base: plan.inventory.base)
        return .object(
            CopyReason.allCases.map { .init($0.rawValue, .array(copied.names($0).map { .string($0) })) })
    }

    /// The tensors that checkpoints tie to other tensors, by task.
    private var tied: JSONValue {
        .object(
            plan.spec.mergedTasks.compactMap { task in
                guard let ties = plan.inventory.checkpoints[task.name]?.ties, !ties.isEmpty else { return nil }
                return .init(
                    task.name.rawValue,
                    .object(ties.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }))
            })
    }

    private var health: [JSONValue.Member] {
        let merges = BlockMergeMeasurements(plan: plan, result: result)
        let ofBlocks = plan.blocks.compactMap { block in merges[block.name].map { health(block.name, $0) } }
        // Not every method has something to say of a tensor.
        let ofTensors = plan.products.outputs(for: .tensorMerge).compactMap { tensor, output in
            result(output.unit).flatMap { $0.measurements.isEmpty ? nil : health(tensor, $0.measurements) }
        }
        return ofBlocks + ofTensors
    }

    private func health(_ name: String, _ measured: [MeasurementName: [Double]]) -> JSONValue.Member {
        .init(
            name,
            .object(
                measured.sorted { $0.key.rawValue < $1.key.rawValue }.map { name, values in
                    .init(name.rawValue, .array(values.map(JSONValue.of)))
                }))
    }
}
