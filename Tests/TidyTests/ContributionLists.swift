import Testing

/// The lists of files in CONTRIBUTING.md: a section, and a mark of what it describes.
///
/// A list is true when the mark stands in the shipped files that the section names, and in no other.
struct ContributionList: Sendable, CustomTestStringConvertible {
    /// The section's heading.
    let section: String
    /// An example of what the section describes, as a regular expression over a file's text.
    let mark: String
    /// The files that hold the mark.
    let files: Set<String>

    var testDescription: String { section }

    static let all = [
        // Operations and compute backends have rules of their own.
        ContributionList(
            section: "Adding an order", mark: #"\bcase \.?dismiss\b|order\(\.dismiss\b|\bDismissWorker dismiss\b"#,
            files: [
                "Sources/Identifiers/WorkerOrder.swift", "Sources/Scheduling/Scheduler+Workers.swift",
                "Sources/WireProtocol/Schema/kfacd.proto", "Sources/WireProtocol/CoordinatorMessage.swift",
                "Sources/CoordinatorService/Coordinator.swift", "Sources/WorkerService/Worker.swift",
            ]),
        ContributionList(
            section: "Adding a setting",
            mark: #""drain-timeout"|#drain-timeout:|\.It Sy drain-timeout|\| `drain-timeout` \|"#,
            files: [
                "Sources/kfacd/WorkerCommand.swift", "Deploy/package/etc/kfacd/worker.yaml",
                "Deploy/package/usr/share/man/man5/kfacd-configuration.5", "Deploy/README.md",
            ]),
        ContributionList(
            section: "Adding a setting", mark: #"\bdrainLimit: Duration\b"#,
            files: ["Sources/WorkerService/WorkerConfiguration.swift"]),
        ContributionList(
            section: "Adding a kind of layer",
            // An axis of a diagram has a case of the same name.
            mark: #"\.linear\(|case \.linear:\n +let shape|LinearBlock linear\b"#,
            files: [
                "Sources/UnitOperations/CurvatureBlock.swift", "Sources/UnitOperations/Schema/operations.proto",
                "Sources/UnitOperations/OperationCoding.swift", "Sources/JobPlan/StoredLayer.swift",
                "Sources/JobPlan/CaptureValidation.swift", "Sources/JobPlan/PartialsValidation.swift",
                "Sources/JobPlan/Planner+Factors.swift", "Sources/JobPlan/Planner+Balance.swift",
                "Sources/JobPlan/JobSpec+JointRows.swift", "Sources/JobPlan/Planner+JointRows.swift",
                "Sources/WorkerService/ParameterReader.swift",
                "Sources/WorkerService/PenaltyExecution.swift", "Sources/WorkerService/MergeExecution.swift",
                "Sources/CoordinatorService/Files/CurvatureContents.swift",
            ]),
        ContributionList(
            section: "Adding a kind of layer", mark: #"case \.layer(?:\(let outputs|:| =)|\.layer\(outputs"#,
            files: [
                "Sources/UnitOperations/CurvatureBlock.swift", "Sources/TaskArithmetic/MergeProblem.swift",
                "Sources/TaskArithmetic/Methods/KfacMethod.swift",
                "Sources/TaskArithmetic/Methods/RegmeanMethod.swift",
                "Sources/TaskArithmetic/Methods/KfacExactMethod.swift", "Sources/CostEstimate/MergeSample.swift",
                "Sources/kfacctl/DrawnModels.swift",
            ]),
    ]

    /// The files that a section of CONTRIBUTING.md links to.
    ///
    /// - Parameters:
    ///   - section: The section's heading.
    ///   - text: The document.
    /// - Returns: Their paths, or `nil` without such a section.
    static func links(of section: String, in text: String) -> Set<String>? {
        let parts = text.split(separator: "\n## ")
        guard let part = parts.first(where: { $0.hasPrefix("\(section)\n") }) else { return nil }
        return Set(part.matches(of: /\]\(([^)#\s]+)/).map { String($0.1) })
    }

    /// The shipped files whose text holds the mark.
    func holders(among files: [TextFile]) throws -> Set<String> {
        let mark = try Regex(mark)
        return Set(
            files.filter { file in
                (file.path.hasPrefix("Sources/") || file.path.hasPrefix("Deploy/"))
                    && !file.path.contains("/Generated/") && file.text.contains(mark)
            }.map(\.path))
    }
}
