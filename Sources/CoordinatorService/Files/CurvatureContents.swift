import Admission
import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// What stands in the factor, regularizer and inverse files of a job, and which units make it.
///
/// Source: DESIGN section 3.
struct CurvatureContents: Sendable {
    let job: Job

    private var plan: JobPlan { job.plan }

    /// The numbers that a finished unit measured.
    typealias Measurements = (UnitIndex) -> [MeasurementName: [Double]]?

    /// A matrix of a file.
    struct Source: Sendable {
        let name: CurvatureTensorName
        let block: String
        let shape: SymmetricShape
        /// The output that the matrix is made of.
        let output: UnitOutput
        /// What the output is multiplied by.
        var strength = 1.0
        /// The form of the output's bytes; `nil` for an exact matrix.
        var form: CompressedForm?

        /// The source of the compressed matrix, which includes a strength.
        func replaced(by output: UnitOutput, as form: CompressedForm) -> Source {
            Source(name: name, block: block, shape: shape, output: output, form: form)
        }
    }

    /// A file, or the shards of one.
    struct File: Sendable {
        let kind: JobFileKind
        /// The path of its directory within the staging directory.
        let components: [String]
        /// All matrices, in the order of the file.
        let sources: [Source]
        /// The tensors of joint rows behind them.
        var rows: [JointTensor] = []
    }

    /// The number whose text is the longest.
    private static let longest = -Double.leastNormalMagnitude

    /// The file that an operation writes; `nil` for operations without such a file.
    func file(of operation: CoordinatorOperation) -> File? {
        switch operation {
        case .assembleFactors(let task):
            File(
                kind: .factors, components: ["factors", task.rawValue],
                sources: sources(of: plan.blocks) { .factor($0, of: task) }
                    .map { compressed($0) { .compressedFactor($0, of: task) } },
                rows: plan.jointTensors(of: .task(task)))
        case .assembleRegularizer(let target):
            File(
                kind: .regularizer, components: ["regularizer", target.description],
                sources: regularizerSources(for: target), rows: plan.jointTensors(of: .target(target)))
        case .assembleInverses(let target):
            File(
                kind: .inverses, components: ["inverses", target.description],
                sources: sources(of: plan.blocks, isInverse: true) { .inverse($0, of: target) })
        case .mergeCheckpoint, .digestInputs, .writeReport, .publish: nil
        }
    }

    /// The metadata of a file while it is written: as long as the final one, or longer.
    ///
    /// - Throws: `SafetensorsError` when the base cannot be read.
    func draft(of operation: CoordinatorOperation) throws -> [String: String] {
        let rank = plan.spec.curvature.regularizer.termCount ?? 0
        let count = plan.targets.count * rank * 2 * plan.spec.curvedTasks.count
        let longest: [MeasurementName: [Double]] = [
            .balance: [Self.longest], .damping: [Self.longest], .dampingUsed: [Self.longest],
            .keptShare: [Self.longest],
            .coefficients: Array(repeating: Self.longest, count: count),
            .relativeError: Array(repeating: Self.longest, count: max(1, plan.targets.count)),
            .smallestEigenvalue: [Self.longest], .meanEigenvalue: [Self.longest], .diagonalShift: [Self.longest],
        ]
        return try metadata(of: operation) { _ in longest }
    }

    /// The metadata of a file.
    ///
    /// - Parameters:
    ///   - operation: The operation that writes the file.
    ///   - measured: The numbers of the units that make its matrices.
    /// - Returns: The strings.
    /// - Throws: `SafetensorsError` when the base cannot be read.
    func metadata(of operation: CoordinatorOperation, _ measured: Measurements) throws -> [String: String] {
        var strings: [String: String] =
            switch operation {
            case .assembleFactors(let task): try factors(of: task, measured).strings
            case .assembleRegularizer(let target): try regularizer(for: target, measured).strings
            case .assembleInverses(let target): try inverses(for: target, measured).strings
            case .mergeCheckpoint, .digestInputs, .writeReport, .publish: [:]
            }
        strings[MetadataKey.compression] = compressions(of: operation, measured).metadataText
        return strings
    }

    /// The compressed matrices of a file, by the names of their tensors.
    private func compressions(
        of operation: CoordinatorOperation, _ measured: Measurements
    ) -> [String: FactorCompression] {
        var compressions: [String: FactorCompression] = [:]
        for source in file(of: operation)?.sources ?? [] {
            guard let form = source.form, let loss = measured(source.output.unit).flatMap(CompressionLoss.init) else {
                continue
            }
            compressions[source.name.name] = FactorCompression(
                form: form, dimension: source.shape.dimension, loss: loss)
        }
        return compressions
    }

    /// A matrix in its compressed form, if the plan has that.
    private func compressed(_ source: Source, _ purpose: (FactorSide) -> UnitPurpose) -> Source {
        guard let form = plan.spec.curvature.compression?.form,
            let output = plan.products[source.block, purpose(source.name.side)]
        else { return source }
        return source.replaced(by: output, as: form)
    }

    private func factors(of task: TaskName, _ measured: Measurements) throws -> FactorsMetadata {
        let counts = counts(of: task)
        var metadata = FactorsMetadata(
            task: task, sampleCounts: counts.samples, rowCounts: counts.rows,
            normalization: plan.spec.curvature.normalization.rawValue, hasBias: hasBias,
            weight: plan.curvatureWeight(of: task), baseDigest: try job.inputs.baseDigest())
        metadata.layouts = plan.layouts
        metadata.jointRows = jointRows(of: .task(task), measured) ?? importedRows(of: task)
        metadata.jointRows?.buckets = buckets(of: [task])
        for block in plan.blocks where !block.uses.isEmpty { metadata.uses[block.name] = block.uses.map(\.name) }
        for block in plan.blocks {
            // What a finished set states stays true of the same factors.
            metadata.balances[block.name] =
                plan.products[block.name, .balance(of: task)].flatMap { measured($0.unit)?[.balance]?.first }
                ?? plan.inventory.factorSets[task]?.balances[block.name]
        }
        return metadata
    }

    private func regularizer(for target: TargetName, _ measured: Measurements) throws -> RegularizerMetadata {
        let regularizer = plan.spec.curvature.regularizer
        let tasks = plan.spec.curvedTasks.map(\.name).filter(target.includes)
        let total = tasks.reduce(0) { $0 + plan.curvatureWeight(of: $1) }
        var metadata = RegularizerMetadata(
            target: target.description, form: regularizer.form.rawValue, scale: regularizer.scale.rawValue,
            tasks: tasks,
            lambda: Dictionary(uniqueKeysWithValues: tasks.map { ($0.rawValue, plan.curvatureWeight(of: $0) / total) }),
            normalization: plan.spec.curvature.normalization.rawValue, hasBias: hasBias,
            baseDigest: try job.inputs.baseDigest(), strengths: strengths,
            optimum: optimum(for: target, measured),
            missingTasks: plan.missingCurvature.compactMapValues { missing in
                let missing = missing.filter(target.includes)
                return missing.isEmpty ? nil : missing
            })
        metadata.layouts = plan.layouts
        metadata.balance = regularizer.balance.rawValue
        metadata.oneDimensional = regularizer.oneDimensional.rawValue
        metadata.jointRows = jointRows(of: .target(target), measured)
        metadata.jointRows?.floor = regularizer.jointRows.floor.text
        metadata.jointRows?.buckets = buckets(of: tasks)
        return metadata
    }

    /// The ranks of pseudo-rows, and what they keep; `nil` for another form.
    private func jointRows(of owner: JointRowsOwner, _ measured: Measurements) -> JointRowsMetadata? {
        guard let inputs = plan.jointEigenvectors(.input, of: owner),
            let gradients = plan.jointEigenvectors(.gradient, of: owner),
            let keptInputs = measured(inputs.unit)?[.keptShare]?.first,
            let keptGradients = measured(gradients.unit)?[.keptShare]?.first
        else { return nil }
        return JointRowsMetadata(
            ranks: .init(inputs: inputs.operation.rank, gradients: gradients.operation.rank),
            kept: .init(inputs: keptInputs, gradients: keptGradients))
    }

    /// How the positions of these tasks were pooled; `nil` if they were not.
    private func buckets(of tasks: [TaskName]) -> PositionBuckets? {
        guard let codebook = tasks.lazy.compactMap({ plan.inventory.givenJointRows(of: $0)?.codebook }).first else {
            return nil
        }
        let rows = Dictionary(
            uniqueKeysWithValues: plan.blocks.compactMap { block in
                plan.inventory.pooledRows(in: block.name, of: tasks).map { (block.name, $0) }
            })
        return rows.isEmpty ? nil : PositionBuckets(codebook: codebook, layers: Set(rows.keys), rowsPerSample: rows)
    }

    /// What one file states of its joint rows stays true of the same rows.
    private func importedRows(of task: TaskName) -> JointRowsMetadata? {
        guard plan.spec.curvature.regularizer.form == .pseudoRows,
            let rows = plan.inventory.givenJointRows(of: task), let kept = rows.kept,
            let inputs = rows.rank(.input, of: plan.blocks), let gradients = rows.rank(.gradient, of: plan.blocks)
        else { return nil }
        return JointRowsMetadata(
            ranks: .init(inputs: inputs, gradients: gradients),
            kept: .init(inputs: kept.inputs, gradients: kept.gradients))
    }

    private func inverses(for target: TargetName, _ measured: Measurements) throws -> InversesMetadata {
        var (asked, used): ([String: Double], [String: Double]) = ([:], [:])
        for block in plan.blocks {
            for (side, _) in block.factors {
                let name = FactorName(owner: block.name, side: side).description
                let numbers = plan.products[block.name, .inverse(side, of: target)].flatMap { measured($0.unit) }
                asked[name] = numbers?[.damping]?.first
                used[name] = numbers?[.dampingUsed]?.first
            }
        }
        let damping = plan.spec.curvature.damping
        return InversesMetadata(
            target: target.description, dampingRule: damping.rule.rawValue, dampingValue: damping.value,
            dampingAsked: asked, dampingUsed: used, baseDigest: try job.inputs.baseDigest())
    }

    private func regularizerSources(for target: TargetName) -> [Source] {
        plan.spec.regularizerSets(of: target).flatMap { set in
            let sources =
                switch set {
                case .term(let term, _):
                    // Full blocks belong to one sum only.
                    sources(
                        of: term == 0 ? plan.blocks : plan.blocks.filter { $0.factors.count == 2 },
                        prefix: set.prefix, for: set.purpose)
                case .factors: sources(of: plan.blocks, prefix: set.prefix, for: set.purpose)
                }
            return sources.map { compressed(strengthened($0), set.compressedPurpose) }
        }
    }

    /// The counts behind a task's factors: one number where all blocks have the same.
    private func counts(of task: TaskName) -> (samples: OwnerCounts, rows: OwnerCounts?) {
        var (samples, rows): ([String: Int], [String: Int]) = ([:], [:])
        for block in plan.blocks {
            guard let counts = plan.inventory.counts(of: block, in: task) else { continue }
            if counts.rows != 0 { samples[block.name] = counts.samples }
            rows[block.name] = counts.rows
        }
        func shortened(_ counts: [String: Int], _ one: Int?) -> OwnerCounts {
            guard let one, one > 0, counts.values.allSatisfy({ $0 == one }) else { return .each(counts) }
            return .all(one)
        }
        return (
            shortened(samples, plan.inventory.samples(of: task)),
            rows.isEmpty ? nil : shortened(rows, rows.values.first)
        )
    }

    private var hasBias: [String: Bool] {
        var hasBias: [String: Bool] = [:]
        for block in plan.blocks {
            if case .linear(_, _, let bias, _) = block.kind { hasBias[block.name] = bias }
        }
        return hasBias
    }

    /// The strengths of the layers and parameters in groups.
    private var strengths: [String: Double] {
        var strengths: [String: Double] = [:]
        for block in plan.blocks { strengths[block.name] = plan.spec.curvature.group(of: block.name)?.strength }
        return strengths
    }

    /// A matrix of a regularizer with its group's strength, which belongs to B or F: a layer's penalty has it once.
    private func strengthened(_ source: Source) -> Source {
        guard source.name.side != .input else { return source }
        var source = source
        source.strength = plan.spec.curvature.strength(of: source.block)
        return source
    }

    /// The coefficients and the residual of a target's sums; `nil` unless the form is `optimal`.
    private func optimum(for target: TargetName, _ measured: Measurements) -> RegularizerMetadata.Optimum? {
        guard plan.spec.curvature.regularizer.form == .optimal, let rank = plan.spec.curvature.regularizer.termCount,
            plan.targets.contains(target)
        else { return nil }
        var optimum = RegularizerMetadata.Optimum(rank: rank)
        for block in plan.blocks {
            guard let output = plan.products[block.name, .optimalAccumulation],
                let position = plan.targets(of: block).firstIndex(of: target),
                let numbers = measured(output.unit), let coefficients = numbers[.coefficients],
                let errors = numbers[.relativeError], errors.indices.contains(position)
            else { continue }
            optimum.relativeErrors[block.name] = errors[position]
            optimum.terms[block.name] = terms(
                coefficients, of: plan.curvedTasks(in: block), rank: rank, target: position, summing: target)
        }
        return optimum
    }

    /// Coefficients in the order of ``MeasurementName/coefficients``, with the names of the summed tasks.
    private func terms(
        _ coefficients: [Double], of tasks: [TaskName], rank: Int, target position: Int, summing target: TargetName
    ) -> [RegularizerMetadata.Term] {
        func named(_ start: Int) -> [String: Double] {
            var named: [String: Double] = [:]
            for (offset, task) in tasks.enumerated() where target.includes(task) {
                named[task.rawValue] = coefficients[start + offset]
            }
            return named
        }
        return (0..<rank).compactMap { term in
            let start = (position * rank + term) * 2 * tasks.count
            guard start + 2 * tasks.count <= coefficients.count else { return nil }
            return RegularizerMetadata.Term(gradient: named(start), input: named(start + tasks.count))
        }
    }

    /// All matrices of a set of blocks, in their order.
    ///
    /// The plan has none of a block without curvature.
    private func sources(
        of blocks: [CurvatureBlock], prefix: String = "", isInverse: Bool = false,
        for purpose: (FactorSide) -> UnitPurpose
    ) -> [Source] {
        blocks.flatMap { block in
            block.factors.compactMap { side, shape in
                plan.products[block.name, purpose(side)].map { output in
                    Source(
                        name: CurvatureTensorName(owner: prefix + block.name, side: side, isInverse: isInverse),
                        block: block.name, shape: shape, output: output)
                }
            }
        }
    }
}

extension RegularizerSet {
    /// The prefix of the set's owners in a regularizer file.
    var prefix: String {
        switch self {
        case .term(let term, _): CurvatureTensorName.prefix(ofTerm: term)
        case .factors(let task): "\(task)/"
        }
    }
}

extension CompressionLoss {
    /// What a compressing unit has measured; `nil` for the numbers of another unit.
    init?(_ measurements: [MeasurementName: [Double]]) {
        guard let error = measurements[.relativeError]?.first, let smallest = measurements[.smallestEigenvalue]?.first,
            let mean = measurements[.meanEigenvalue]?.first, let shift = measurements[.diagonalShift]?.first
        else { return nil }
        self.init(relativeError: error, smallestEigenvalue: smallest, meanEigenvalue: mean, shift: shift)
    }
}
