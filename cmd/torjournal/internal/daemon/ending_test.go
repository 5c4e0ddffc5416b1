package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A question that waits for its turn while the daemon ends gets a refusal, so
// that the asker reads on from the file: no headers would be a broken answer.
func TestWhoWaitsWhileTheDaemonEndsIsRefused(t *testing.T) {
	s := newPrivateServer(nil, nil, slog.New(slog.DiscardHandler))
	for range maxFetches {
		s.fetches <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/fetch?seq=1", "/rollups?seq=0"} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
