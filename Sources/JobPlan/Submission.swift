/// A job file that is to be checked, planned or run.
public struct Submission: Equatable, Sendable {
    /// The job file's text.
    public var specText: String
    /// The job file's absolute path; relative paths in the job file start at its directory.
    public var specPath: String
    /// Whether an output directory that is not empty may be replaced.
    public var overwrites: Bool
    /// Absolute path of an output directory that replaces the job file's own.
    public var output: String?

    /// Submits a job file.
    public init(specText: String, specPath: String, overwrites: Bool, output: String? = nil) {
        self.specText = specText
        self.specPath = specPath
        self.overwrites = overwrites
        self.output = output
    }
}
