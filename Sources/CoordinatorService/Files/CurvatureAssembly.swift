import Admission
import Identifiers
import JobFiles
import JobPlan
import KroneckerFactors
import LinearAlgebra
import Publication
import Safetensors
import Scheduling
import SystemPackage
import UnitOperations

/// Writes factor, regularizer and inverse files, one matrix in memory at a time.
///
/// Source: DESIGN section 3.
struct CurvatureAssembly {
    let job: Job
    let blobs: PackedBlobs
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?

    private var plan: JobPlan { job.plan }

    /// A matrix of a file: its name in the file, and the blob that holds it.
    private struct Source {
        let name: CurvatureTensorName
        let block: String
        let shape: SymmetricShape
        let blob: BlobReference
        /// What the matrix is multiplied by.
        var strength = 1.0
    }

    /// Writes `factors/<task>/factors.safetensors`.
    ///
    /// - Throws: `JobFileError`, `BlobStoreError`. No file of that name exists then.
    func writeFactors(of task: TaskName) throws {
        let counts = counts(of: task)
        var metadata = FactorsMetadata(
            task: task, sampleCounts: counts.samples, rowCounts: counts.rows,
            normalization: plan.spec.curvature.normalization.rawValue, hasBias: hasBias,
            weight: plan.curvatureWeight(of: task), baseDigest: try job.inputs.baseDigest())
        metadata.layouts = plan.layouts
        for block in plan.blocks where !block.uses.isEmpty { metadata.uses[block.name] = block.uses.map(\.name) }
        try write(
            .factors, to: try job.output.stage("factors", task.rawValue), metadata: metadata.strings,
            sources: try sources(of: plan.blocks) { .factor($0, of: task) })
    }

    /// Writes `regularizer/<target>/regularizer.safetensors`.
    ///
    /// - Throws: As ``writeFactors(of:)``.
    func writeRegularizer(for target: TargetName) throws {
        let regularizer = plan.spec.curvature.regularizer
        let tasks = plan.spec.curvedTasks.map(\.name).filter(target.includes)
        let total = tasks.reduce(0) { $0 + plan.curvatureWeight(of: $1) }
        var metadata = RegularizerMetadata(
            target: target.description, form: regularizer.form.rawValue, scale: regularizer.scale.rawValue,
            tasks: tasks,
            lambda: Dictionary(uniqueKeysWithValues: tasks.map { ($0.rawValue, plan.curvatureWeight(of: $0) / total) }),
            normalization: plan.spec.curvature.normalization.rawValue, hasBias: hasBias,
            baseDigest: try job.inputs.baseDigest(), strengths: strengths,
            optimum: optimum(for: target),
            missingTasks: plan.missingCurvature.compactMapValues { missing in
                let missing = missing.filter(target.includes)
                return missing.isEmpty ? nil : missing
            })
        metadata.layouts = plan.layouts
        let sources = try plan.spec.regularizerSets(of: target).flatMap { set in
            switch set {
            case .term(let term, _):
                // Full blocks belong to one sum only.
                try self.sources(
                    of: term == 0 ? plan.blocks : plan.blocks.filter { $0.factors.count == 2 },
                    prefix: CurvatureTensorName.prefix(ofTerm: term), for: set.purpose)
            case .factors(let task): try self.sources(of: plan.blocks, prefix: "\(task)/", for: set.purpose)
            }
        }.map(strengthened)
        try write(
            .regularizer, to: try job.output.stage("regularizer", target.description), metadata: metadata.strings,
            sources: sources)
    }

    /// Writes `inverses/<target>/inverses.safetensors`.
    ///
    /// - Throws: As ``writeFactors(of:)``.
    func writeInverses(for target: TargetName) throws {
        let sources = try self.sources(of: plan.blocks, isInverse: true) { .inverse($0, of: target) }
        var (asked, used): ([String: Double], [String: Double]) = ([:], [:])
        for block in plan.blocks {
            for (side, _) in block.factors {
                let name = FactorName(owner: block.name, side: side).description
                let measured = plan.products[block.name, .inverse(side, of: target)].flatMap { result($0.unit) }?
                    .measurements
                asked[name] = measured?[.damping]?.first
                used[name] = measured?[.dampingUsed]?.first
            }
        }
        let damping = plan.spec.curvature.damping
        let metadata = InversesMetadata(
            target: target.description, dampingRule: damping.rule.rawValue, dampingValue: damping.value,
            dampingAsked: asked, dampingUsed: used, baseDigest: try job.inputs.baseDigest())
        try write(
            .inverses, to: try job.output.stage("inverses", target.description), metadata: metadata.strings,
            sources: sources)
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
    private func optimum(for target: TargetName) -> RegularizerMetadata.Optimum? {
        guard plan.spec.curvature.regularizer.form == .optimal, let rank = plan.spec.curvature.regularizer.termCount,
            plan.targets.contains(target)
        else { return nil }
        var optimum = RegularizerMetadata.Optimum(rank: rank)
        for block in plan.blocks {
            guard let output = plan.products[block.name, .optimalAccumulation],
                let position = plan.targets(of: block).firstIndex(of: target),
                let measured = result(output.unit)?.measurements, let coefficients = measured[.coefficients],
                let errors = measured[.relativeError], errors.indices.contains(position)
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

    /// All matrices of a file, in the order of the blocks.
    ///
    /// The plan has none of a block without curvature.
    private func sources(
        of blocks: [CurvatureBlock], prefix: String = "", isInverse: Bool = false,
        for purpose: (FactorSide) -> UnitPurpose
    ) throws -> [Source] {
        try blocks.flatMap { block in
            try block.factors.compactMap { side, shape in
                guard let output = plan.products[block.name, purpose(side)] else { return nil }
                guard let blob = result(output.unit)?.blob(at: output.position) else {
                    throw CoordinatorWorkError.missingResult("\(FactorName(owner: block.name, side: side))")
                }
                return Source(
                    name: CurvatureTensorName(owner: prefix + block.name, side: side, isInverse: isInverse),
                    block: block.name, shape: shape, blob: blob)
            }
        }
    }

    private func write(
        _ kind: JobFileKind, to directory: FilePath, metadata: [String: String], sources: [Source]
    ) throws {
        let writer = try CurvatureWriter(
            directory: directory, kind: kind,
            entries: sources.map { CurvatureWriter.Entry($0.name, shape: $0.shape) }, metadata: metadata,
            storage: plan.spec.curvature.storesPackedTriangles ? .packed : .full)
        for source in sources {
            var matrix = try blobs.matrix(source.blob, of: source.shape)
            if source.strength != 1 {
                matrix.multiply(by: source.strength)
                guard matrix.firstNonFiniteRow() == nil else {
                    throw CoordinatorWorkError.badInput(
                        "the strength \(source.strength) of \"\(source.block)\" makes \"\(source.name.name)\" larger than "
                            + "fp32 can hold. Lower it in \"groups\".")
                }
            }
            try writer.write(matrix, to: source.name)
        }
        try writer.finish()
    }
}
