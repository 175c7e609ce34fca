import MicroHTTPD
import Telemetry

/// The status pages: the answer for each path.
enum StatusPages {
    /// Makes the answer; every body ends with a newline.
    static func response(to request: HTTPRequest, from source: StatusSource) async -> HTTPResponse {
        guard ["GET", "HEAD"].contains(request.method) else {
            var refusal = text("the pages can only be read: use GET", status: 405)
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        }
        switch request.path {
        case "/healthz":
            let problems = source.healthProblems()
            return problems.isEmpty ? text("ok") : text(problems.joined(separator: "\n"), status: 503)
        case "/readyz":
            guard let reason = source.notReady() else { return text("ok") }
            return text(reason, status: 503)
        case "/version":
            let fields = source.version.map { "\(JSONText.quoted($0.name)):\(JSONText.quoted($0.value))" }
            return text("{\(fields.joined(separator: ","))}", contentType: "application/json")
        case "/metrics":
            let (metrics, contentType) = await source.metrics()
            return response(metrics, contentType: contentType)
        case "/":
            return response(await overview(of: source).html, contentType: "text/html; charset=utf-8")
        default:
            return text("there is no such page; the pages are /, /healthz, /readyz, /version and /metrics", status: 404)
        }
    }

    /// The content of the page for people.
    ///
    /// For an unhealthy daemon it is only the problems, because the rest might never answer.
    private static func overview(of source: StatusSource) async -> OverviewPage {
        let problems = source.healthProblems()
        let isWell = problems.isEmpty
        return OverviewPage(
            status: isWell ? await source.status() : "not well", notReady: source.notReady(),
            healthProblems: problems, version: source.version, time: Timestamp.now,
            sections: isWell ? await source.sections() : [])
    }

    private static func text(
        _ body: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        response(body + "\n", status: status, contentType: contentType)
    }

    private static func response(_ body: String, status: Int = 200, contentType: String) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: [
                "Content-Type": contentType, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": OverviewPage.contentPolicy, "Server": "kfacd",
            ],
            body: body)
    }
}
